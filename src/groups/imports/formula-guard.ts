/*
 * A spreadsheet takes a cell that begins with one of these for a formula and runs it; with an apostrophe before it, it is text
 * (OWASP, CSV Injection: https://owasp.org/www-community/attacks/CSV_Injection). A cell that already begins with apostrophes
 * before such a character gets one more, so that taking one away gives back exactly what there was.
 */
const FORMULA_LIKE = /^'*[=+\-@\t\r]/;
const GUARDED = /^'+[=+\-@\t\r]/;

/** The cell as an export writes it. */
export function guardCell(cell: string): string {
  return FORMULA_LIKE.test(cell) ? `'${cell}` : cell;
}

/** What `guardCell` was given; any cell that it cannot have made stays as it is. */
export function unguardCell(cell: string): string {
  return cell.startsWith("'") && GUARDED.test(cell) ? cell.slice(1) : cell;
}
