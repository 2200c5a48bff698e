import { guardCell } from './imports/formula-guard.ts';

/** A record of CSV (RFC 4180) with its line end; no cell of it is taken for a formula. */
export function csvLine(cells: readonly string[]): string {
  return `${cells.map((cell) => quoteCell(guardCell(cell))).join(',')}\r\n`;
}

function quoteCell(cell: string): string {
  return /[",\r\n;\t]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
