/**
 * DCT-II of 64 samples, unscaled, by Byeong Gi Lee's recursion ("A new algorithm to compute the discrete cosine
 * transform", IEEE ASSP-32, 1984), in the order of operations of goimagehash 1.1.0: a bit of the hash is a comparison of
 * two of these numbers, so every rounding counts. The tables are Go's exact doubles of 2·cos((i + ½)·π/n)
 * (test-vectors/protocol/phash/tables.json): another machine's cosine may differ in the last bit.
 */

const tables: Readonly<Record<number, readonly number[]>> = {
  64: [
    1.9993976373924083, 1.9945809133573804, 1.9849590691974202, 1.9705552847778824, 1.9514042600770571,
    1.9275521315908797, 1.8990563611860733, 1.8659855976694777, 1.8284195114070614, 1.7864486023910306,
    1.7401739822174227, 1.6897071304994142, 1.6351696263031674, 1.5766928552532127, 1.5144176930129691,
    1.448494165902934, 1.3790810894741339, 1.3063456859075537, 1.2304631811612539, 1.151616382835691,
    1.0699952397741948, 0.9857963844595683, 0.8992226593092132, 0.8104826280099796, 0.7197900730699766,
    0.627363480797783, 0.5334255149497968, 0.43820248031373954, 0.3419237775206027, 0.24482135039843256,
    0.1471291271993349, 0.049082457045824535,
  ],
  32: [
    1.9975909124103448, 1.978353019929562, 1.9400625063890882, 1.8830881303660416, 1.8079785862468867,
    1.7154572200005442, 1.6064150629612899, 1.4819022507099182, 1.3431179096940369, 1.191398608984867,
    1.0282054883864435, 0.8551101868605644, 0.6737797067844401, 0.48596035980652796, 0.2934609489107235,
    0.09813534865483627,
  ],
  16: [
    1.9903694533443936, 1.9138806714644176, 1.76384252869671, 1.546020906725474, 1.2687865683272912,
    0.9427934736519956, 0.5805693545089246, 0.19603428065912154,
  ],
  8: [1.9615705608064609, 1.6629392246050907, 1.1111404660392046, 0.3901806440322566],
  4: [1.8477590650225735, 0.7653668647301797],
  2: [Math.SQRT2],
};

const scratch = new Float64Array(64);

/** Transforms `values[0…length)` in place; `length` is a power of two up to 64. */
export function dct(values: Float64Array, length = 64): void {
  transform(values, scratch, 0, length);
}

function transform(values: Float64Array, temp: Float64Array, from: number, length: number): void {
  if (length === 1) return;
  const half = length / 2;
  const table = tables[length]!;
  for (let i = 0; i < half; i++) {
    const x = values[from + i]!;
    const y = values[from + length - 1 - i]!;
    temp[from + i] = x + y;
    temp[from + half + i] = (x - y) / table[i]!;
  }
  transform(temp, values, from, half);
  transform(temp, values, from + half, half);
  for (let i = 0; i < half - 1; i++) {
    values[from + 2 * i] = temp[from + i]!;
    values[from + 2 * i + 1] = temp[from + half + i]! + temp[from + half + i + 1]!;
  }
  values[from + length - 2] = temp[from + half - 1]!;
  values[from + length - 1] = temp[from + length - 1]!;
}
