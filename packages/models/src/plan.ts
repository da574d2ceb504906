/** What a pull is going to fetch. */
export type PlannedFile = {
  /** In the model's folder. */
  path: string;
  url: URL;
  token: string | undefined;
  sizeBytes: number;
  /** Published by the server or asked for by the caller. */
  sha256?: string | undefined;
  /** SHA-1 of the Git blob, which the Hub publishes of small files. */
  gitOid?: string | undefined;
  /** Strong ETag or date: what tells that a file without a hash is still the same. */
  validator?: string | undefined;
};

export type Plan = {
  title: string;
  /** SPDX expression, or NOASSERTION. */
  licence: string;
  from: string;
  commit: string | null;
  files: PlannedFile[];
};

export function planBytes(plan: Plan): number {
  return plan.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
