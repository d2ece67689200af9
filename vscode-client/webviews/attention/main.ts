// The attention view in the side bar.

import { runPage } from "../common/page";
import { attentionView } from "./view";

runPage("Attention", [attentionView]);
