/** The files of a result: the result node hands them in, the creator fetches them. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Chain } from "@hydrogen/chain";
import { type Clock, type Hex, hexToBytes, nowSec } from "@hydrogen/std";
import type { BlobStore } from "@hydrogen/storage";
import type { Context } from "hono";
import { type Authenticator, type Identity, type RelayEnv, requireSigner, signed } from "../auth.ts";
import { streamBody } from "../body.ts";
import type { RelayLimits } from "../config.ts";
import { relayError } from "../errors.ts";
import { multipartBoundary } from "../multipart.ts";
import { discardAll, type Reveal, receiveResult } from "../receive.ts";
import { agreedReveals, type TaskView } from "../task-view.ts";
import { chainUnavailable, type Tasks } from "../tasks.ts";
import type { Uploads } from "../uploads.ts";
import { imageNumParam, problemAnswers, seedsQuery, signedBy, taskIdParam } from "./schemas.ts";

export type ResultRouteDeps = {
  auth: Authenticator;
  tasks: Tasks;
  uploads: Uploads;
  blobs: BlobStore;
  chain: Chain;
  clock: Clock;
  limits: RelayLimits;
};

const binary = { type: "string", format: "binary" } as const;

export function addResultRoutes(app: OpenAPIHono<RelayEnv>, deps: ResultRouteDeps): void {
  const { auth, tasks, uploads, limits } = deps;

  const upload = createRoute({
    method: "post",
    path: "/v1/inference_tasks/{task_id}/results",
    summary: "Upload the files of a result (the result node; after the upload deadline any agreeing node)",
    security: signedBy,
    request: {
      params: taskIdParam,
      body: {
        required: true,
        content: {
          "multipart/form-data": {
            schema: {
              type: "object",
              required: ["images"],
              properties: {
                timestamp: { type: "string", description: "The seeds' scheme only; before the first file." },
                signature: { type: "string", description: "The seeds' scheme only; before the first file." },
                images: { type: "array", items: binary, minItems: 1, maxItems: limits.maxFiles },
              },
            },
          },
        },
      },
    },
    responses: {
      200: {
        description: "Kept",
        content: { "application/json": { schema: z.object({ message: z.literal("success") }) } },
      },
      ...problemAnswers([400, 401, 403, 404, 409, 413, 415, 422, 507]),
    },
  });
  app.openapi(upload, async (c) => {
    const { task_id } = c.req.valid("param");
    const boundary = multipartBoundary(c.req.header("content-type"));
    if (boundary === undefined) throw relayError("RELAY_MEDIA_TYPE_UNSUPPORTED");
    const received = await receiveResult(
      {
        source: streamBody(c, limits.maxResultBytes),
        boundary,
        identity: auth.fromHeader(c),
        identify: (fields) => auth.fromSeeds({ task_id }, fields.get("timestamp"), fields.get("signature")),
        authorize: (identity) => authorizeUpload(task_id, identity, deps),
      },
      deps,
    );
    try {
      await uploads.putResult(task_id, received.reveal.filesDigest, received.files);
    } finally {
      await discardAll(received.files);
    }
    return c.json({ message: "success" as const }, 200);
  });

  const download = createRoute({
    method: "get",
    path: "/v1/inference_tasks/{task_id}/results/{image_num}",
    summary: "One file of the result (the task's creator)",
    security: signedBy,
    middleware: signed(auth, (c: Context) => ({
      image_num: c.req.param("image_num")!,
      task_id: Number(c.req.param("task_id")),
    })),
    request: { params: imageNumParam, query: seedsQuery },
    responses: {
      200: {
        description: "The file",
        headers: z.object({
          etag: z.string().describe("keccak256 of the file, quoted."),
          "content-digest": z.string().describe("sha-256 of the file (RFC 9530)."),
          "hydrogen-files-digest": z.string().describe("filesDigest of the result the file belongs to."),
        }),
        content: { "image/png": { schema: binary } },
      },
      ...problemAnswers([400, 401, 403, 404, 409]),
    },
  });
  app.openapi(download, async (c) => {
    const { task_id, image_num } = c.req.valid("param");
    const view = await tasks.find(task_id, (view) => agreedReveals(view).length > 0);
    requireSigner(c.var.signers, (address) => address === view.creator);
    const result = uploads.result(task_id, decided(view));
    if (result === undefined) throw relayError("RELAY_RESULT_NOT_UPLOADED", { taskId: task_id });
    const file = result.files[Number(image_num)];
    const blob = file && (await uploads.openFile(file));
    if (!file || !blob) throw relayError("RELAY_FILE_NOT_FOUND", { images: result.files.length });
    return c.body(blob.stream, 200, {
      "Content-Type": "image/png",
      "Content-Length": String(blob.sizeBytes),
      "Content-Disposition": `attachment; filename="${image_num}.png"`,
      "Content-Digest": `sha-256=:${Buffer.from(hexToBytes(file.sha256)).toString("base64")}:`,
      ETag: `"${file.keccak256}"`,
      "Hydrogen-Files-Digest": result.filesDigest,
      "Cache-Control": "private, no-store",
    });
  });
}

/** Digests of the result's files, as agreeing nodes revealed them. @throws RELAY_TASK_NOT_DECIDED, RELAY_TASK_ABORTED */
function decided(view: TaskView): Hex[] {
  if (view.status === "aborted") throw relayError("RELAY_TASK_ABORTED", { reason: view.abortReason });
  const reveals = agreedReveals(view);
  if (reveals.length === 0) throw relayError("RELAY_TASK_NOT_DECIDED", { status: view.status });
  return reveals.map(({ filesDigest }) => filesDigest);
}

/** The uploader's own reveal. @throws RELAY_TASK_NOT_DECIDED, RELAY_TASK_ABORTED, RELAY_SIGNER_NOT_ALLOWED, RELAY_UPLOAD_NOT_DUE */
async function authorizeUpload(
  taskId: number,
  { signers }: Identity,
  { tasks, chain, clock }: ResultRouteDeps,
): Promise<Reveal> {
  const view = await tasks.find(taskId, (view) =>
    agreedReveals(view).some(({ node }) => signers.includes(node)),
  );
  const participant = (address: string) => view.rounds.some(({ node }) => node === address);
  requireSigner(signers, participant);
  decided(view);
  const reveals = agreedReveals(view);
  const uploader = requireSigner(signers, (address) => reveals.some(({ node }) => node === address));
  const reveal = reveals.find(({ node }) => node === uploader)!;
  if (reveal.round !== view.resultRound && view.status === "uploading") {
    const { uploadDeadline } = await chain.task.getTask(BigInt(taskId)).catch((error) => {
      throw chainUnavailable(error);
    });
    const { timestampSec } = await chain.head();
    // A chain that makes blocks on demand may not have made one since; one that is warped is ahead of the clock.
    if (Math.max(timestampSec, nowSec(clock)) <= Number(uploadDeadline)) {
      throw relayError("RELAY_UPLOAD_NOT_DUE", { uploadDeadlineSec: Number(uploadDeadline) });
    }
  }
  return reveal;
}
