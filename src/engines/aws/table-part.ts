import { setTimeout as pause } from 'node:timers/promises';
import {
  CreateTableCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  ResourceInUseException,
  ResourceNotFoundException,
  type TableDescription,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { SECOND_MS } from '../../platform/clock/clock.ts';
import type { Inspection, Part } from './create-infrastructure.ts';
import { createTableInput, tableDifferences, ttlDifferences } from './create-tables.ts';
import type { TableDefinition } from './tables.ts';

// A table takes some ten seconds on AWS.
const READY_PAUSE_MS = SECOND_MS;
const READY_TRIES = 120;

/** A table of `tables.ts`. */
export class TablePart implements Part {
  readonly name: string;

  constructor(
    private readonly dynamo: DynamoDBDocumentClient,
    private readonly definition: TableDefinition,
    private readonly tableName: string,
  ) {
    this.name = `table ${tableName}`;
  }

  async inspect(): Promise<Inspection> {
    const found = await this.#describe();
    if (!found) {
      return { kind: 'missing' };
    }
    return {
      kind: 'present',
      differences: [
        ...tableDifferences(this.definition, found),
        ...ttlDifferences(this.definition, await this.#findTtlAttribute()),
      ],
    };
  }

  /** A table without its TTL is one whose making was interrupted: that is completed. */
  async make(): Promise<void> {
    const table = (await this.#describe()) ?? (await this.#create());
    if (table?.TableStatus !== 'ACTIVE') {
      await this.#waitUntilActive();
    }
    const { ttlAttribute } = this.definition;
    if (ttlAttribute !== undefined && (await this.#findTtlAttribute()) === undefined) {
      await this.dynamo.send(
        new UpdateTimeToLiveCommand({
          TableName: this.tableName,
          TimeToLiveSpecification: { AttributeName: ttlAttribute, Enabled: true },
        }),
      );
    }
  }

  async #describe(): Promise<TableDescription | undefined> {
    try {
      const { Table: table } = await this.dynamo.send(
        new DescribeTableCommand({ TableName: this.tableName }),
      );
      return table;
    } catch (error) {
      if (error instanceof ResourceNotFoundException) {
        return undefined;
      }
      throw error;
    }
  }

  /** As it begins; `undefined` where it was made meanwhile: by another run, or by a first try whose answer was lost. */
  async #create(): Promise<TableDescription | undefined> {
    try {
      const { TableDescription: table } = await this.dynamo.send(
        new CreateTableCommand(createTableInput(this.definition, this.tableName)),
      );
      return table;
    } catch (error) {
      if (error instanceof ResourceInUseException) {
        return undefined;
      }
      throw error;
    }
  }

  async #waitUntilActive(): Promise<void> {
    for (let attempt = 1; attempt <= READY_TRIES; attempt += 1) {
      if ((await this.#describe())?.TableStatus === 'ACTIVE') {
        return;
      }
      await pause(READY_PAUSE_MS);
    }
    throw new Error(`The table ${this.tableName} was asked for and does not become active. Run this again.`);
  }

  async #findTtlAttribute(): Promise<string | undefined> {
    const { TimeToLiveDescription: ttl } = await this.dynamo.send(
      new DescribeTimeToLiveCommand({ TableName: this.tableName }),
    );
    return ttl?.TimeToLiveStatus === 'ENABLED' || ttl?.TimeToLiveStatus === 'ENABLING'
      ? ttl.AttributeName
      : undefined;
  }
}
