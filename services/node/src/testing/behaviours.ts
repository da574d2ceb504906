/** Ways to misbehave, for test networks: they show that the network notices, and what it costs. */
import { encodePng } from "@hydrogen/diffusion";
import { imagesResult, pngSize } from "@hydrogen/protocol";
import { bytesToHex } from "@hydrogen/std";
import type { Behaviour } from "../behaviour.ts";
import { honest } from "../behaviour.ts";
import type { NodeConfig } from "../config.ts";

/** A picture that is cheaper than running the model: stripes of the same size. */
function cheapPicture(png: Uint8Array): Uint8Array {
  const { width, height } = pngSize(png);
  const rgb = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      rgb.fill(
        ((7 * x) / width + (3 * y) / height) % 2 < 1 ? 30 : 220,
        3 * (y * width + x),
        3 * (y * width + x + 1),
      );
  return encodePng({ widthPx: width, heightPx: height, rgb });
}

export const behaviours: Record<NonNullable<NodeConfig["devnetBehaviour"]>, Behaviour> = {
  /** Commits to a picture that it did not make with the model. */
  lying: {
    ...honest,
    present: ({ files }) => {
      const cheap = files.map(cheapPicture);
      return { result: bytesToHex(imagesResult(cheap)), files: cheap };
    },
  },
  /** Takes tasks and never says anything about them. */
  silent: { ...honest, permits: (kind) => kind !== "commit" },
  /** Commits like the others and then never says to what, and leaves it to them to end that. */
  commitsThenSilent: { ...honest, permits: (kind) => kind !== "reveal" && kind !== "cancelOverdue" },
  /** Takes its part in the verdict and keeps the files. */
  noUpload: { ...honest, permits: (kind) => kind !== "upload" },
};
