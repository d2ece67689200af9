// When a trace was made: as short as it can be told, and the span of time that it is listed under.

const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const SHORT = 3; // letters of a month
const RECENT = 1e9; // ranks above every month's
const UNTOLD = { name: "No Date", rank: -1 };

export interface Span {
  name: string;
  /** Later spans have higher ones. */
  rank: number;
}

/** A time without its zone is taken as the reader's own: nobody knows of which zone it is. */
export function momentOf(timestamp: string): Date | undefined {
  const moment = new Date(timestamp.charAt(4) === "-" ? timestamp : "");
  return Number.isNaN(moment.getTime()) ? undefined : moment;
}

/** Today's by the clock, this year's by the day, others by the date; empty where the trace tells none. */
export function shortTime(timestamp: string, now: Date): string {
  const moment = momentOf(timestamp);
  if (moment === undefined) {
    return "";
  }
  return isOfDay(moment, now) ? clock(moment) : day(moment, now);
}

/** The same to the second, where minutes are not enough. */
export function exactTime(timestamp: string, now: Date): string {
  const moment = momentOf(timestamp);
  if (moment === undefined) {
    return "";
  }
  const exact = `${clock(moment)}:${twoDigits(moment.getSeconds())}`;
  return isOfDay(moment, now) ? exact : `${day(moment, now)} ${exact}`;
}

/** Today, Yesterday, This Week (from Monday on), or a month. */
export function spanOf(timestamp: string, now: Date): Span {
  const moment = momentOf(timestamp);
  if (moment === undefined) {
    return UNTOLD;
  }
  const monday = (now.getDay() + 6) % 7;
  const starts = [
    { name: "Today", ago: 0 },
    { name: "Yesterday", ago: 1 },
    { name: "This Week", ago: monday },
  ];
  const place = starts.findIndex(({ ago }) => moment >= startOfDay(now, ago));
  const start = starts[place];
  if (start !== undefined) {
    return { name: start.name, rank: RECENT - place };
  }
  const month = moment.getMonth();
  return { name: `${MONTHS[month] ?? ""} ${moment.getFullYear()}`, rank: moment.getFullYear() * 12 + month };
}

/** How long until what is today is so no more. */
export function untilMidnight(now: Date): number {
  return startOfDay(now, -1).getTime() - now.getTime();
}

function startOfDay(now: Date, ago: number): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() - ago);
}

function isOfDay(moment: Date, now: Date): boolean {
  return moment.toDateString() === now.toDateString();
}

function clock(moment: Date): string {
  return `${twoDigits(moment.getHours())}:${twoDigits(moment.getMinutes())}`;
}

function day(moment: Date, now: Date): string {
  const short = `${moment.getDate()} ${(MONTHS[moment.getMonth()] ?? "").slice(0, SHORT)}`;
  return moment.getFullYear() === now.getFullYear() ? short : `${short} ${moment.getFullYear()}`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, "0");
}
