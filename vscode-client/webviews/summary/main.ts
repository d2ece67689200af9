// The Attention Summary in the side bar.

import { runPage } from "../common/page";
import { summaryView } from "./view";

runPage("Attention Summary", [summaryView]);
