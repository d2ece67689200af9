// Where traces are asked for: the daemon in the session's folder, or a connection to another folder.

import type { CancellationToken, Event } from "vscode";
import type { Params, RequestId, Result } from "./language_client";
import type { MethodName, TracesChanged } from "../protocol";

export interface TraceSource {
  readonly onReady: Event<void>;
  readonly onTracesChanged: Event<TracesChanged>;
  /** Raises Problem, or a cancellation. Waits while the daemon is being started. */
  request<M extends MethodName>(
    method: M,
    params: Params<M>,
    token?: CancellationToken,
    onId?: (id: RequestId) => void,
  ): Promise<Result<M>>;
}
