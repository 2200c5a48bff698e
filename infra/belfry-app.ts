import { App, type AppProps, Validations } from 'aws-cdk-lib';
import { CURRENTLY_RECOMMENDED_FLAGS } from 'aws-cdk-lib/cx-api';
import { AwsSolutionsChecks } from 'cdk-nag';
import { BelfryStack } from './belfry-stack.ts';
import { parseDeployment } from './deployment.ts';

// What `cdk init` switches on for a new app, but for two.
const FEATURE_FLAGS = {
  ...CURRENTLY_RECOMMENDED_FLAGS,
  // A function and a role of its own, to empty a security group that nothing is in.
  '@aws-cdk/aws-ec2:restrictDefaultSecurityGroup': false,
  // Statements stay as they were written, one for each thing.
  '@aws-cdk/aws-iam:minimizePolicies': false,
};

/** The app: one stack, checked against cdk-nag's AwsSolutions whenever it is synthesised. */
export function newBelfryApp(props: AppProps = {}): { readonly app: App; readonly stack: BelfryStack } {
  const app = new App({
    analyticsReporting: false,
    ...props,
    context: { ...FEATURE_FLAGS, ...props.context },
  });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  const deployment = parseDeployment((name) => app.node.tryGetContext(name));
  const stack = new BelfryStack(app, 'Belfry', {
    deployment,
    stackName: deployment.installation,
    description:
      'Belfry: schedules a message for a group, and delivers it to every subscriber at that moment',
  });
  return { app, stack };
}
