const BYTES_EACH = 4;

/** As stores keep the places of rows in a file: four bytes each, the lowest first. */
export function packPositions(positions: readonly number[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(positions.length * BYTES_EACH);
  for (const [index, position] of positions.entries()) {
    bytes.writeUInt32LE(position, index * BYTES_EACH);
  }
  return bytes;
}

export function unpackPositions(packed: Uint8Array): readonly number[] {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  return Array.from({ length: bytes.length / BYTES_EACH }, (_, index) =>
    bytes.readUInt32LE(index * BYTES_EACH),
  );
}

/** Of rows that follow on each other. */
export function positionsFrom(first: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}
