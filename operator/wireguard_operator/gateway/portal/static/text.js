// Words and numbers in the reader's language. The server chooses the language; the numbers follow it.

let words = {};
let locale = "en";

/** Load the words and put them wherever the page asks for some. */
export async function load() {
  const answer = await fetch("/portal/strings.json", { cache: "no-cache" });
  words = await answer.json();
  const language = words.language;
  // Their own kind of it, for dates: a British reader's clock has 24 hours, an American's has 12.
  locale = navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
}

/** The words for a key; {name} in them is replaced. An unknown key shows itself. */
export function t(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The words for a key if there are any. */
export function maybe(key) {
  return words[key] ?? null;
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bytes in decimal units, as providers count them. */
export function bytes(count) {
  let power = 0;
  while (count >= 1000 && power < UNITS.length - 1) {
    count /= 1000;
    power += 1;
  }
  const digits = power === 0 || count >= 100 ? 0 : 1;
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(count)} ${UNITS[power]}`;
}

/** A moment, e.g. 3 Jun 2026, 14:05. */
export function moment(iso) {
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
}

/** The time of day. */
export function clock(iso) {
  return new Intl.DateTimeFormat(locale, { timeStyle: "short" }).format(new Date(iso));
}

const STEPS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

/** How long ago. */
export function ago(iso) {
  const seconds = Math.max(0, (Date.now() - new Date(iso).getTime()) / 1000);
  const format = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  for (const [unit, size] of STEPS) if (seconds >= size) return format.format(-Math.floor(seconds / size), unit);
  return t("just-now");
}

/** The name of a country by its two letters. */
export function country(code) {
  try {
    return new Intl.DisplayNames([locale], { type: "region" }).of(code);
  } catch {
    return code;
  }
}
