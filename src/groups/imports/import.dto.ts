import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import { IsBoolean, IsIn, IsOptional } from 'class-validator';
import { formatInstant } from '../../platform/clock/clock.ts';
import {
  IMPORT_FORMATS,
  IMPORT_STATES,
  type ImportFormat,
  type ImportJob,
  type ImportState,
} from './import-job.ts';
import { REPORT_RESULTS, type ReportResult } from './import-report.ts';

const FORMAT_FAULT = `One of ${IMPORT_FORMATS.join(', ')} is needed.`;

/** As a query has it. */
function IsTrueOrFalse(): PropertyDecorator {
  return applyDecorators(
    Transform(({ value }: { readonly value: unknown }) =>
      value === 'true' ? true : value === 'false' ? false : value,
    ),
    IsBoolean({ message: 'true or false is needed.' }),
  );
}

export class ImportQuery {
  @ApiPropertyOptional({
    type: Boolean,
    default: false,
    description: 'Everything is read, checked and compared, and nothing of the group is changed.',
  })
  @IsOptional()
  @IsTrueOrFalse()
  readonly dry_run: boolean = false;

  @ApiPropertyOptional({
    type: Boolean,
    default: true,
    description:
      'Whether those who are pending get a mail that asks them to confirm, as whoever is added does; nobody is asked twice by a file that is sent again. Where false, POST …/subscribers/{email}/confirmation asks.',
  })
  @IsOptional()
  @IsTrueOrFalse()
  readonly ask_to_confirm: boolean = true;

  @ApiPropertyOptional({
    enum: IMPORT_FORMATS,
    description: 'Needed where Content-Type is neither text/csv nor application/x-ndjson.',
  })
  @IsOptional()
  @IsIn(IMPORT_FORMATS, { message: FORMAT_FAULT })
  readonly format?: ImportFormat;
}

export class ReportQuery {
  @ApiPropertyOptional({ enum: IMPORT_FORMATS, default: 'ndjson', description: 'Of the report.' })
  @IsOptional()
  @IsIn(IMPORT_FORMATS, { message: FORMAT_FAULT })
  readonly format: ImportFormat = 'ndjson';

  @ApiPropertyOptional({ enum: REPORT_RESULTS, description: 'Only rows with this result.' })
  @IsOptional()
  @IsIn(REPORT_RESULTS, { message: `One of ${REPORT_RESULTS.join(', ')} is needed.` })
  readonly result?: ReportResult;
}

class ImportRowsView {
  @ApiProperty({ type: 'integer', example: 2 })
  readonly read!: number;

  @ApiProperty({ type: 'integer', example: 2 })
  readonly created!: number;

  @ApiProperty({ type: 'integer', example: 0 })
  readonly updated!: number;

  @ApiProperty({
    type: 'integer',
    example: 0,
    description: 'Among them those that must not be written to any more: nothing about them was changed.',
  })
  readonly unchanged!: number;

  @ApiProperty({ type: 'integer', example: 0 })
  readonly rejected!: number;

  @ApiProperty({
    type: 'integer',
    example: 0,
    description:
      'Rows whose address came before in the same file: the last one counts. They are in one of the others too.',
  })
  readonly duplicates!: number;
}

/** An import as the API shows it. */
export class ImportView {
  @ApiProperty({ example: '019ab0a4-6f00-7cc3-9f5c-0a3de6a5c3d1' })
  readonly key!: string;

  @ApiProperty({ example: 'serverless' })
  readonly group!: string;

  @ApiProperty({ enum: IMPORT_STATES, example: 'queued' })
  readonly state!: ImportState;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Why it failed; what was read before that is done all the same.',
    example: null,
  })
  readonly reason!: string | null;

  @ApiProperty({ enum: IMPORT_FORMATS, example: 'csv' })
  readonly format!: ImportFormat;

  @ApiProperty({ example: false })
  readonly dry_run!: boolean;

  @ApiProperty({ example: true, description: 'Whether those who are pending are asked to confirm.' })
  readonly ask_to_confirm!: boolean;

  @ApiProperty({ description: 'What became of the rows so far.' })
  readonly rows!: ImportRowsView;

  @ApiProperty({ type: 'integer', example: 69, description: 'Size of the file.' })
  readonly bytes!: number;

  @ApiProperty({ type: 'integer', example: 0, description: 'So much of the file is done.' })
  readonly bytes_done!: number;

  @ApiProperty({ format: 'date-time', example: '2026-11-23T14:00:00.123Z' })
  readonly added_at!: string;

  @ApiProperty({ type: String, nullable: true, format: 'date-time', example: null })
  readonly started_at!: string | null;

  @ApiProperty({ type: String, nullable: true, format: 'date-time', example: null })
  readonly ended_at!: string | null;
}

export function viewImport(job: ImportJob): ImportView {
  return {
    key: job.key,
    group: job.group,
    state: job.state,
    reason: job.reason ?? null,
    format: job.format,
    dry_run: job.dryRun,
    ask_to_confirm: job.askToConfirm,
    rows: job.counts,
    bytes: job.fileBytes,
    bytes_done: job.readBytes,
    added_at: formatInstant(job.addedAt),
    started_at: job.startedAt ? formatInstant(job.startedAt) : null,
    ended_at: job.endedAt ? formatInstant(job.endedAt) : null,
  };
}
