import { openAws } from '../contract/open-aws.ts';
import { describeWaves } from '../flow/waves.flow.ts';

describeWaves(openAws, 'stores');
