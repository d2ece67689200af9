// A trace as the extension host gives it to a webview: src/open_trace.ts makes the same of a document.

export async function traceDocument(rpc, traceId) {
  const { tokens, analysis, metrics, ...summary } = await rpc("get_document", { trace_id: traceId });
  const { tensors, num_tokens: positions } = summary.data_info;
  const shapes = Object.entries(tensors).flatMap(([name, { shape }]) => {
    const layer = /^attention_weights\.layer_(\d+)$/.exec(name)?.[1];
    return layer === undefined ? [] : [{ layer: Number(layer), shape }];
  });
  const most = (numbers) => Math.max(0, ...numbers);
  return {
    summary,
    tokens,
    analysis,
    metrics,
    layers: most(shapes.map(({ layer }) => layer + 1)),
    heads: most(shapes.map(({ shape }) => shape.at(-3))),
    positions: most(shapes.map(({ shape }) => shape.at(-2))) || positions,
  };
}
