import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { authenticate } from './sasl.js';

/** A broker that says these lines, whatever it is told; what it was told. */
function saying(...lines: string[]) {
  const told: string[] = [];
  const exchange = async (message: Buffer) => {
    told.push(message.toString());
    return Buffer.from(lines.shift() ?? '');
  };
  return { told, exchange };
}

const pencil = { mechanism: 'scram-sha-256', username: 'user', password: 'pencil' } as const;
const nonce = 'rOprNGfwEbeRWgbNEkqO';
const challenge = `r=${nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`;
const verifier = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=';

test('the exchange of RFC 7677', async () => {
  const { told, exchange } = saying(challenge, verifier);
  await authenticate(pencil, exchange, nonce);
  assert.equal(told, [
    `n,,n=user,r=${nonce}`,
    `c=biws,r=${nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`,
  ]);
});

const wrong: [string, string[], RegExp][] = [
  ['does not know the password', [challenge, `v=${'A'.repeat(43)}=`], /does not know the password/],
  ['proves nothing', [challenge, ''], /does not know the password/],
  ['refuses us', [challenge, 'e=invalid-proof'], /invalid-proof/],
  ['answers to another nonce', ['r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'], /its SCRAM challenge is wrong/],
  ['asks for too much work', [challenge.replace('4096', '100000000')], /its SCRAM challenge is wrong/],
];

for (const [what, lines, message] of wrong) {
  test(`a broker that ${what} is not believed`, async () => {
    const failure: Error = await authenticate(pencil, saying(...lines).exchange, nonce).then(
      () => new Error('believed'),
      (error: Error) => error,
    );
    assert.match(failure.message, message);
  });
}

test('PLAIN', async () => {
  const { told, exchange } = saying('');
  await authenticate({ ...pencil, mechanism: 'plain' }, exchange);
  assert.equal(told, ['\0user\0pencil']);
});

test.run();
