import { Duration } from 'aws-cdk-lib';

/*
 * How a task of the api ends: ECS takes it off the load balancer and waits for DEREGISTRATION_DELAY, in which requests that were under way
 * are answered; then it sends SIGTERM; the application finishes what it has in hand within GRACE; STOP_TIMEOUT after the SIGTERM it is killed.
 */

/** SHUTDOWN_GRACE of the application. */
export const SHUTDOWN_GRACE = Duration.seconds(25);

/** A little more: the application closes its stores after the grace. */
export const STOP_TIMEOUT = Duration.seconds(30);

/** At least as long as the application itself gives a request that is under way. */
export const DEREGISTRATION_DELAY = Duration.seconds(30);
