// The cell of the matrix that is pointed at, there or in the text.

export interface Pointed {
  query: number;
  key: number | null;
  by: "mouse" | "keyboard" | "text";
}
