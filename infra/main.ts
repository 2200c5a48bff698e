import { newBelfryApp } from './belfry-app.ts';
import { DeploymentError } from './deployment.ts';

/* What cdk.json starts. */

try {
  newBelfryApp().app.synth();
} catch (error) {
  if (!(error instanceof DeploymentError)) {
    throw error;
  }
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
