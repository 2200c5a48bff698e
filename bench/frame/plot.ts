import type { Plot } from './bench.ts';

const WIDTH = 680;
const LABEL_WIDTH = 250;
const VALUE_WIDTH = 110;
const BAR_WIDTH = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
const TOP = 30;
const LINE = 26;
const BAR_HEIGHT = 14;

const STYLE = `text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 }
.bar { fill: #4a7fb5 } .range { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #d7dde3 } .bar { fill: #5b93cc } .range { stroke: #d7dde3 } }`;

/** A bar for each median, with a line from the least to the greatest value. Readable on a light and on a dark page. */
export function svgOf({ title, unit, bars }: Plot): string {
  const greatest = Math.max(...bars.map(({ value }) => value.max));
  const x = (value: number): number => LABEL_WIDTH + (greatest > 0 ? (value / greatest) * BAR_WIDTH : 0);
  const lines = bars.map(({ label, value }, index) => {
    const top = TOP + index * LINE;
    const middle = top + BAR_HEIGHT / 2;
    return [
      `<text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end">${escaped(label)}</text>`,
      `<rect class="bar" x="${LABEL_WIDTH}" y="${top}" width="${fixed(x(value.median) - LABEL_WIDTH)}" height="${BAR_HEIGHT}"/>`,
      `<line class="range" x1="${fixed(x(value.min))}" y1="${middle}" x2="${fixed(x(value.max))}" y2="${middle}"/>`,
      `<text x="${fixed(x(value.max) + 8)}" y="${middle + 4}">${value.median} ${escaped(unit)}</text>`,
    ].join('\n');
  });
  const height = TOP + bars.length * LINE + 4;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(title)}">
<style>${STYLE}</style>
<text class="title" x="0" y="16">${escaped(title)}</text>
${lines.join('\n')}
</svg>
`;
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function fixed(value: number): string {
  return value.toFixed(1);
}
