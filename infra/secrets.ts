import { RemovalPolicy, SecretValue } from 'aws-cdk-lib';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';

// Letters and digits, of which each has six bits: more than the application asks for (32 for signing, 16 for a key).
const SIGNING_LENGTH = 64;
const KEY_LENGTH = 40;

/** What only the application may know. Made here, read by ECS when a task starts, and in no template. */
export class Secrets extends Construct {
  /** SIGNING_SECRET. */
  readonly signing: Secret;
  /** API_KEYS: `name:role:secret,…`. Whoever runs Belfry changes it; a deployment does not change it back. */
  readonly apiKeys: Secret;
  /** The secret of the key `ops`, with which `apiKeys` begins. */
  readonly firstKey: Secret;

  constructor(scope: Construct, id: string, installation: string) {
    super(scope, id);
    this.signing = this.#generated('signing', `${installation}/signing-secret`, SIGNING_LENGTH);
    this.firstKey = this.#generated('first-key', `${installation}/first-key`, KEY_LENGTH);
    this.apiKeys = new Secret(this, 'api-keys', {
      secretName: `${installation}/api-keys`,
      description: 'API_KEYS of Belfry: name:role:secret, with commas between them',
      // CloudFormation puts the secret in where it makes this one; the template says only where it is.
      secretStringValue: SecretValue.unsafePlainText(`ops:admin:${this.firstKey.secretValue.unsafeUnwrap()}`),
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.#acknowledgeRotation(
      this.apiKeys,
      'Whoever calls must be given the new key first, which nobody here can do for them',
    );
  }

  #generated(id: string, secretName: string, passwordLength: number): Secret {
    const secret = new Secret(this, id, {
      secretName,
      generateSecretString: { passwordLength, excludePunctuation: true },
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.#acknowledgeRotation(
      secret,
      id === 'signing'
        ? 'Links in mails are good for as long as it is kept, so it is changed by hand, when there is a reason, with the old one behind the new one'
        : 'It is read once, after the first deployment; the keys that count are those in api-keys',
    );
    return secret;
  }

  #acknowledgeRotation(secret: Secret, reason: string): void {
    acknowledge(secret, { 'AwsSolutions-SMG4': `${reason} (docs/operations.md, Rotate keys).` });
  }
}
