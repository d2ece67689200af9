// The summary view in the side bar.

import { runPage } from "../common/page";
import { summaryView } from "./view";

runPage("Summary", [summaryView]);
