// The report's style sheet: no external font or file; light and dark by the reader's setting.

export const styleSheet = `
:root { color-scheme: light dark; --text: #1f2937; --quiet: #5b6472; --line: #dfe3e8; --card: #ffffff; --page: #f6f7f9; --accent: #1d4ed8; --warn: #9a3412; --warn-back: #fff4e5; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e5e7eb; --quiet: #a3abb8; --line: #374151; --card: #1b2230; --page: #111722; --accent: #8ab4ff; --warn: #fdba74; --warn-back: #3a2412; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1020px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 36px 0 8px; }
p { margin: 6px 0; }
.quiet { color: var(--quiet); overflow-wrap: anywhere; }
.warn { margin: 16px 0 0; padding: 10px 14px; border-left: 4px solid var(--warn); background: var(--warn-back); border-radius: 4px; }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 22px 0 0; }
.numbers div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.numbers dt { color: var(--quiet); font-size: 13px; }
.numbers dd { margin: 2px 0 0; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }
.numbers dd small { display: block; font-size: 13px; font-weight: 400; color: var(--quiet); }
figure { margin: 0; padding: 8px; background: #ffffff; border: 1px solid var(--line); border-radius: 8px; overflow-x: auto; }
figure svg { display: block; width: 100%; height: auto; min-width: 620px; }
.table { overflow: auto; max-height: 560px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 12px; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { position: sticky; top: 0; background: var(--card); font-weight: 600; white-space: normal; vertical-align: bottom; box-shadow: 0 1px 0 var(--line); }
tbody tr:last-child > * { border-bottom: 0; }
tbody th { font-weight: 600; }
.number { text-align: right; }
td.free { white-space: normal; overflow-wrap: anywhere; min-width: 170px; }
pre { margin: 8px 0; padding: 12px 14px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; overflow-x: auto; font: 13.5px/1.5 ui-monospace, monospace; }
code { font-family: ui-monospace, monospace; font-size: 0.93em; }
footer { margin-top: 40px; padding-top: 12px; border-top: 1px solid var(--line); color: var(--quiet); font-size: 13px; }
@media print { body { background: #ffffff; } .table { max-height: none; overflow: visible; } }
`;
