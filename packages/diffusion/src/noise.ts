/**
 * The stream of normal numbers that torch's CPU generator gives for a seed, bit for bit, so that a seed means the same
 * picture here as in diffusers. Tensors of 16 numbers and more take the vectorised path: uniform floats in blocks of
 * sixteen, turned in place by Box–Muller with the polynomials of Cephes in single precision. Smaller ones take a
 * scalar path in double precision that keeps the second number of each pair for later.
 */

/** Mersenne Twister 19937. @see http://www.math.sci.hiroshima-u.ac.jp/m-mat/MT/MT2002/emt19937ar.html */
class MersenneTwister {
  readonly #state = new Uint32Array(624);
  #next = 624;

  constructor(seed: number) {
    const state = this.#state;
    state[0] = seed;
    for (let i = 1; i < 624; i++) {
      const last = state[i - 1]!;
      state[i] = Math.imul(1812433253, last ^ (last >>> 30)) + i;
    }
  }

  /** 32 random bits. */
  draw(): number {
    if (this.#next === 624) this.#twist();
    let bits = this.#state[this.#next++]!;
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    return (bits ^ (bits >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < 624; i++) {
      const mixed = (state[i]! & 0x80000000) | (state[(i + 1) % 624]! & 0x7fffffff);
      state[i] = state[(i + 397) % 624]! ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}

export type NoiseStream = {
  /** The next tensor of standard normal numbers, like `torch.randn` with this generator. */
  normal(count: number): Float32Array;
};

/** @param seed is reduced to its low 32 bits, as torch does. */
export function createNoiseStream(seed: number): NoiseStream {
  const twister = new MersenneTwister(Number(BigInt.asUintN(32, BigInt(seed))));
  let kept: number | undefined;

  const uniform24 = () => (twister.draw() & 0xffffff) / 2 ** 24;
  const uniform53 = () => {
    const high = twister.draw();
    const low = twister.draw();
    return ((high & 0x1fffff) * 2 ** 32 + low) / 2 ** 53;
  };
  const scalar = (): number => {
    if (kept !== undefined) {
      const value = kept;
      kept = undefined;
      return value;
    }
    const angle = 2 * Math.PI * uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-uniform53()));
    kept = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };

  return {
    normal(count) {
      const values = new Float32Array(count);
      if (count < 16) return values.map(scalar);
      for (let i = 0; i < count; i++) values[i] = uniform24();
      for (let i = 0; i + 16 <= count; i += 16) boxMuller16(values, i);
      if (count % 16 !== 0) {
        for (let i = count - 16; i < count; i++) values[i] = uniform24();
        boxMuller16(values, count - 16);
      }
      return values;
    },
  };
}

const TWO_PI = f(2 * Math.PI);

function boxMuller16(values: Float32Array, at: number): void {
  for (let i = at; i < at + 8; i++) {
    const radius = f(Math.sqrt(f(-2 * log32(f(1 - values[i]!)))));
    const [sin, cos] = sinCos32(f(TWO_PI * values[i + 8]!));
    values[i] = f(radius * cos);
    values[i + 8] = f(radius * sin);
  }
}

function f(value: number): number {
  return Math.fround(value);
}

const LOG_TERMS = [
  7.0376836292e-2, -1.15146103e-1, 1.16769987e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
].map(f);
const SIN_TERMS = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(f);
const COS_TERMS = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2].map(f);
const SQRT_HALF = f(Math.SQRT1_2);
const LN2_HIGH = f(0.693359375);
const LN2_LOW = f(-2.1219444e-4);
const FOUR_OVER_PI = f(4 / Math.PI);
const QUARTER_PI = [0.78515625, 2.4187564849853516e-4, 3.774894977445941e-8].map(f);

const bits = new DataView(new ArrayBuffer(4));

/** Natural logarithm of a number in (0, 1]. @see https://netlib.org/cephes/ `logf` */
function log32(value: number): number {
  bits.setFloat32(0, value);
  const word = bits.getUint32(0);
  let exponent = (word >>> 23) - 126;
  bits.setUint32(0, (word & 0x007fffff) | 0x3f000000);
  let x = bits.getFloat32(0);
  if (x < SQRT_HALF) {
    exponent -= 1;
    x = f(f(x - 1) + x);
  } else x = f(x - 1);
  const square = f(x * x);
  let y = LOG_TERMS[0]!;
  for (let i = 1; i < 9; i++) y = mulAdd(y, x, LOG_TERMS[i]!);
  y = mulAdd(f(y * x), square, f(exponent * LN2_LOW));
  y = mulAdd(square, -0.5, y);
  return mulAdd(exponent, LN2_HIGH, f(x + y));
}

/** Sine and cosine of a number in [0, 2π). @see https://netlib.org/cephes/ `sinf` */
function sinCos32(angle: number): [sin: number, cos: number] {
  const octant = (Math.trunc(f(angle * FOUR_OVER_PI)) + 1) & ~1;
  let x = angle;
  for (const part of QUARTER_PI) x = mulAdd(octant, -part, x);
  const square = f(x * x);
  let even = mulAdd(mulAdd(COS_TERMS[0]!, square, COS_TERMS[1]!), square, COS_TERMS[2]!);
  even = f(mulAdd(f(even * square), square, f(square * -0.5)) + 1);
  const odd = mulAdd(mulAdd(SIN_TERMS[0]!, square, SIN_TERMS[1]!), square, SIN_TERMS[2]!);
  const sine = mulAdd(f(odd * square), x, x);
  const swap = (octant & 2) !== 0;
  const sin = swap ? even : sine;
  const cos = swap ? sine : even;
  return [(octant & 4) !== 0 ? -sin : sin, ((octant - 2) & 4) === 0 ? -cos : cos];
}

/** Fused: the reference's compiler contracts products and sums, so they are rounded once. */
function mulAdd(a: number, b: number, c: number): number {
  return f(a * b + c);
}
