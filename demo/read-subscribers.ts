export interface CsvSubscriber {
  readonly email: string;
  readonly name: string;
  readonly city: string;
  readonly timeZone: string;
}

const HEADER = 'email,name,city,time_zone';

/** Reads our own file: four fields a line, none of them quoted. */
export function readSubscribers(csv: string): readonly CsvSubscriber[] {
  const [header, ...lines] = csv.trimEnd().split('\n');
  if (header !== HEADER) {
    throw new Error(`The first line must be '${HEADER}', not '${header}'.`);
  }
  return lines.map((line, index) => {
    const [email, name, city, timeZone, ...rest] = line.split(',');
    if (
      email === undefined ||
      name === undefined ||
      city === undefined ||
      timeZone === undefined ||
      rest.length > 0
    ) {
      throw new Error(`Line ${index + 2} must have four fields: ${line}`);
    }
    return { email, name, city, timeZone };
  });
}
