/** What a model's name tells about its architecture, before anything of it is downloaded. */

export type ModelFamily = "sd1" | "sd2" | "sdxl" | "hydrogen";

const patterns: readonly (readonly [RegExp, ModelFamily])[] = [
  [/^hydrogen-network\//, "hydrogen"],
  [/sdxl|stable-diffusion-xl|[-_/]xl([-_.]|$)/, "sdxl"],
  [/stable-diffusion-2|[-_/]sd-?2[-._]/, "sd2"],
  [/stable-diffusion-v1|[-_/]sd-?(v?1[-._]?[45]|15)([-_.]|$)/, "sd1"],
];

/** @returns undefined where the name says nothing. */
export function modelFamily(name: string): ModelFamily | undefined {
  const lower = name.toLowerCase();
  return patterns.find(([pattern]) => pattern.test(lower))?.[1];
}
