import type { TableDefinition } from './tables.ts';

export type TableNames = Readonly<Record<TableDefinition['name'], string>>;

/** What everything of this installation is called on AWS. Made by infra/ or by `npm run aws:create`; the application is only told. */
export class AwsNames {
  readonly tables: TableNames;
  readonly contentBucket: string;
  readonly workQueueUrl: string;
  /** Absent: SES's events are not read. */
  readonly feedbackQueueUrl: string | undefined;

  constructor(values: {
    readonly tablePrefix: string;
    readonly contentBucket: string;
    readonly workQueueUrl: string;
    readonly feedbackQueueUrl?: string | undefined;
  }) {
    this.tables = tableNames(values.tablePrefix);
    this.contentBucket = values.contentBucket;
    this.workQueueUrl = values.workQueueUrl;
    this.feedbackQueueUrl = values.feedbackQueueUrl;
  }
}

/** The tables of `tables.ts` as they are called in this account. */
export function tableNames(prefix: string): TableNames {
  return {
    groups: `${prefix}groups`,
    subscribers: `${prefix}subscribers`,
    messages: `${prefix}messages`,
    deliveries: `${prefix}deliveries`,
  };
}
