/** ControlNet preprocessors: which method, and its settings. */
import { z } from "zod";
import { percent, setting } from "./fields.ts";

const int = z.int();

function method<const Names extends [string, ...string[]], Shape extends z.ZodRawShape>(
  names: Names,
  args: Shape,
) {
  return z.object({ method: z.enum(names), args: setting(z.object(args)) });
}

export const preprocess = z.discriminatedUnion("method", [
  method(["canny"], { low_threshold: int.default(100), high_threshold: int.default(200) }),
  method(["scribble_hed", "scribble_hedsafe", "softedge_hedsafe"], {}),
  method(["depth_midas", "normal_bae"], {}),
  method(["mlsd"], { thr_v: percent.default(10), thr_d: percent.default(10) }),
  method(["openpose", "openpose_face", "openpose_faceonly", "openpose_full", "openpose_hand"], {}),
  method(["scribble_pidinet", "softedge_pidinet", "scribble_pidisafe", "softedge_pidisafe"], {
    apply_filter: z.boolean().default(false),
  }),
  method(["lineart_coarse", "lineart_realistic", "lineart_anime"], {}),
  method(["depth_zoe"], { gamma_corrected: z.boolean().default(false) }),
  method(["depth_leres", "depth_leres++"], { thr_a: int.default(0), thr_b: int.default(0) }),
  method(["shuffle"], { h: setting(int), w: setting(int), f: setting(int) }),
  method(["mediapipe_face"], { max_faces: int.default(1), min_confidence: percent.default(50) }),
]);

export type Preprocess = z.output<typeof preprocess>;
