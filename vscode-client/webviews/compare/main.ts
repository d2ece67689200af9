// The comparing page: two traces, A and B.

import "../common/base.css";
import "./compare.css";
import { runComparePage } from "./compare_page";

runComparePage();
