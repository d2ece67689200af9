// The trace editor: both views in full width.

import { attentionView } from "../attention/view";
import { runPage } from "../common/page";
import { statisticsView } from "../summary/view";
import "./trace.css";

runPage("Trace", [attentionView, statisticsView]);
