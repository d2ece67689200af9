// Which of a document's diagnostics a failed capture is about.

interface Fault {
  message: string;
  range: { start: { line: number } };
}

/** The daemon refuses a prompt with `Line 3: ` and the diagnostic's own words; of a prompt too long, the words alone. */
export function faultNamed<T extends Fault>(message: string, faults: readonly T[]): T | undefined {
  return (
    faults.find((fault) => message === `Line ${fault.range.start.line + 1}: ${fault.message}`) ??
    faults.find((fault) => message === fault.message)
  );
}

export function namesLine(message: string): boolean {
  return message.startsWith("Line ");
}
