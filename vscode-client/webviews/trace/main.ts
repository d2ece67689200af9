// The page of a trace: what it is, and its parts as tabs.

import { runPage } from "../common/page";
import { tracePage } from "./view";

runPage("Trace", [tracePage]);
