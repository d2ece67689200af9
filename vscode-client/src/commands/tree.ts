// How the traces tree is shown: what its rows are grouped by.

import { window } from "vscode";
import type { App, CommandTable } from "../app";
import { GROUPINGS, isGrouping } from "../views/tree_groups";

export function treeCommands(app: App): CommandTable {
  return {
    "nanoscope.groupBy": async (given) => {
      const grouping = isGrouping(given) ? given : await askGrouping(app);
      if (isGrouping(grouping)) {
        app.tree.grouping = grouping;
      }
    },
  };
}

/** The one that holds is marked, and stands under the cursor. */
function askGrouping(app: App): Promise<string | undefined> {
  const picker = window.createQuickPick();
  const items = Object.entries(GROUPINGS).map(([name, { title }]) => {
    const holds = name === app.tree.grouping;
    return { name, label: `$(${holds ? "check" : "blank"}) ${title}`, description: holds ? "now" : "" };
  });
  picker.title = "Group Traces By";
  picker.items = items;
  picker.activeItems = items.filter(({ name }) => name === app.tree.grouping);
  return new Promise((resolve) => {
    picker.onDidAccept(() => {
      const [chosen] = picker.selectedItems;
      resolve(items.find((item) => item === chosen)?.name);
      picker.hide();
    });
    picker.onDidHide(() => {
      resolve(undefined);
      picker.dispose();
    });
    picker.show();
  });
}
