import type { Measured, Row, Table } from './bench.ts';

export function printMeasured({ tables, goals, remarks = [] }: Measured): void {
  printTables(tables);
  print('');
  for (const { what, goal, measured, isMet } of goals) {
    print(`${isMet ? 'met    ' : 'NOT MET'}  ${what}: ${measured}; the goal is ${goal}`);
  }
  for (const remark of remarks) {
    print(remark);
  }
}

export function printTables(tables: readonly Table[]): void {
  for (const { title, rows } of tables) {
    print(`\n${title}`);
    printTable(rows);
  }
}

/** The columns are the fields of the first row; numbers stand to the right. */
function printTable(rows: readonly Row[]): void {
  const names = Object.keys(rows[0] ?? {});
  const lines = [Object.fromEntries(names.map((name) => [name, name])), ...rows];
  const widths = new Map(
    names.map((name) => [name, Math.max(...lines.map((line) => String(line[name] ?? '').length))]),
  );
  for (const line of lines) {
    const cells = names.map((name) => {
      const cell = String(line[name] ?? '');
      const width = widths.get(name) ?? 0;
      return typeof rows[0]?.[name] === 'number' ? cell.padStart(width) : cell.padEnd(width);
    });
    print(`  ${cells.join('  ').trimEnd()}`);
  }
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
