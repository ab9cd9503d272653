// What is needed of XML to read the answers of S3: elements by name, and their texts. Nothing in them is trusted: what does not fit is not found.

/** The inner texts, still encoded, of all elements of that name which do not lie in each other. */
export function elementsOf(xml: string, name: string): string[] {
  const begin = new RegExp(`<(?:[\\w.-]{1,64}:)?${name}(?:\\s[^<>]*)?>`, 'g');
  const end = new RegExp(`</(?:[\\w.-]{1,64}:)?${name}\\s{0,8}>`, 'g');
  const found: string[] = [];
  for (let match = begin.exec(xml); match !== null; match = begin.exec(xml)) {
    if (match[0].endsWith('/>')) {
      found.push('');
      continue;
    }
    end.lastIndex = begin.lastIndex;
    const close = end.exec(xml);
    // What is not closed is cut off.
    if (close === null) break;
    found.push(xml.slice(begin.lastIndex, close.index));
    begin.lastIndex = end.lastIndex;
  }
  return found;
}

/** The text of the first element of that name, decoded. */
export function textOf(xml: string, name: string): string | undefined {
  const [inner] = elementsOf(xml, name);
  return inner === undefined ? undefined : decoded(inner);
}

const entities: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** https://www.w3.org/TR/xml/#sec-references */
function decoded(text: string): string {
  return text.replace(/<!\[CDATA\[([\s\S]*?)\]\]>|&(?:#x([0-9a-fA-F]{1,6})|#(\d{1,7})|(\w+));/g, (all, cdata, hex, decimal, entity) => {
    if (cdata !== undefined) return cdata as string;
    if (entity !== undefined) return entities[entity as string] ?? (all as string);
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex as string, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : (all as string);
  });
}

export const encodeXml = (text: string): string =>
  text.replace(/[<>&"']/g, (c) => `&${Object.keys(entities).find((name) => entities[name] === c)};`);
