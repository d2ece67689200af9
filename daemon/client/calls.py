"""The Python clients' calls, one a method. Generated from protocol/ by `make protocol`: change it there, not here."""

from __future__ import annotations

from typing import Any

from daemon.client.typed import async_call, call
from protocol import types
from protocol.methods import METHODS


class Calls:
    """Of Client."""

    list_traces = call(METHODS["list_traces"], types.ListTracesParams, types.ListTracesResult)
    analyze_trace = call(METHODS["analyze_trace"], types.TraceParams, types.AnalyzeTraceResult)
    get_summary = call(METHODS["get_summary"], types.TraceParams, types.TraceSummary)
    get_document = call(METHODS["get_document"], types.TraceParams, types.TraceDocument)
    get_tensor = call(METHODS["get_tensor"], types.GetTensorParams, types.GetTensorResult)
    get_attention = call(METHODS["get_attention"], types.GetAttentionParams, types.GetTensorResult)
    get_head_thumbnails = call(
        METHODS["get_head_thumbnails"], types.GetHeadThumbnailsParams, types.GetHeadThumbnailsResult
    )
    get_tokens = call(METHODS["get_tokens"], types.TraceParams, types.GetTokensResult)
    get_alternatives = call(METHODS["get_alternatives"], types.GetAlternativesParams, types.GetAlternativesResult)
    compare_traces = call(METHODS["compare_traces"], types.CompareTracesParams, types.CompareTracesResult)
    diff_traces = call(METHODS["diff_traces"], types.DiffTracesParams, types.DiffTracesResult)
    logit_lens = call(METHODS["logit_lens"], types.LogitLensParams, types.LogitLensResult)
    attribute_logits = call(METHODS["attribute_logits"], types.AttributeLogitsParams, types.AttributeLogitsResult)
    patch_scan = call(METHODS["patch_scan"], types.PatchScanParams, types.PatchScanResult)
    ablation_scan = call(METHODS["ablation_scan"], types.AblationScanParams, types.AblationScanResult)
    scan_heads = call(METHODS["scan_heads"], types.ScanHeadsParams, types.ScanHeadsResult)
    why = call(METHODS["why"], types.WhyParams, types.WhyResult)
    delete_trace = call(METHODS["delete_trace"], types.TraceParams, types.DeleteTraceResult)
    get_status = call(METHODS["get_status"], types.GetStatusParams, types.GetStatusResult)
    list_models = call(METHODS["list_models"], types.NoParams, types.ListModelsResult)
    load_model = call(METHODS["load_model"], types.LoadModelParams, types.LoadModelResult)
    shutdown = call(METHODS["shutdown"], types.ShutdownParams, type(None))
    discover = call(METHODS["rpc.discover"], types.NoParams, dict[str, Any])


class AsyncCalls:
    """Of AsyncClient."""

    list_traces = async_call(METHODS["list_traces"], types.ListTracesParams, types.ListTracesResult)
    analyze_trace = async_call(METHODS["analyze_trace"], types.TraceParams, types.AnalyzeTraceResult)
    get_summary = async_call(METHODS["get_summary"], types.TraceParams, types.TraceSummary)
    get_document = async_call(METHODS["get_document"], types.TraceParams, types.TraceDocument)
    get_tensor = async_call(METHODS["get_tensor"], types.GetTensorParams, types.GetTensorResult)
    get_attention = async_call(METHODS["get_attention"], types.GetAttentionParams, types.GetTensorResult)
    get_head_thumbnails = async_call(
        METHODS["get_head_thumbnails"], types.GetHeadThumbnailsParams, types.GetHeadThumbnailsResult
    )
    get_tokens = async_call(METHODS["get_tokens"], types.TraceParams, types.GetTokensResult)
    get_alternatives = async_call(METHODS["get_alternatives"], types.GetAlternativesParams, types.GetAlternativesResult)
    compare_traces = async_call(METHODS["compare_traces"], types.CompareTracesParams, types.CompareTracesResult)
    diff_traces = async_call(METHODS["diff_traces"], types.DiffTracesParams, types.DiffTracesResult)
    logit_lens = async_call(METHODS["logit_lens"], types.LogitLensParams, types.LogitLensResult)
    attribute_logits = async_call(METHODS["attribute_logits"], types.AttributeLogitsParams, types.AttributeLogitsResult)
    patch_scan = async_call(METHODS["patch_scan"], types.PatchScanParams, types.PatchScanResult)
    ablation_scan = async_call(METHODS["ablation_scan"], types.AblationScanParams, types.AblationScanResult)
    scan_heads = async_call(METHODS["scan_heads"], types.ScanHeadsParams, types.ScanHeadsResult)
    why = async_call(METHODS["why"], types.WhyParams, types.WhyResult)
    delete_trace = async_call(METHODS["delete_trace"], types.TraceParams, types.DeleteTraceResult)
    get_status = async_call(METHODS["get_status"], types.GetStatusParams, types.GetStatusResult)
    list_models = async_call(METHODS["list_models"], types.NoParams, types.ListModelsResult)
    load_model = async_call(METHODS["load_model"], types.LoadModelParams, types.LoadModelResult)
    shutdown = async_call(METHODS["shutdown"], types.ShutdownParams, type(None))
    discover = async_call(METHODS["rpc.discover"], types.NoParams, dict[str, Any])
