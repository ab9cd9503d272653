// The process that a scenario runs in.   node child.mjs prepare|work|check <scenario> <folder> [log] [control]
//   prepare  what was there before
//   work     the work, with marks of what it was told is durable in the log; an operation that fails is tried again, once, without the fault
//   check    answers messages { folder, marks }: whether the folder holds all of that, and can be used
import { Control } from './faults.mjs';
import { mark } from './operations.mjs';

const [mode, name, folder, log, controlPath] = process.argv.slice(2);
const scenario = await import(`./scenarios/${name}.mjs`);
const passing = ['E_NO_SPACE', 'E_IO'];

async function work() {
  const control = controlPath === undefined ? undefined : new Control(controlPath, true);
  const note = (what) => mark(log, what);
  const attempt = async (call) => {
    try {
      return await call();
    } catch (error) {
      if (control === undefined || !passing.includes(error.code)) throw error;
      note({ failed: error.code });
      control.disarm();
      return await call();
    }
  };
  await scenario.work(folder, { mark: note, attempt });
  note({ finished: true });
}

if (mode === 'check') {
  process.on('message', async (message) => {
    try {
      await scenario.check(message.folder, message.marks);
      process.send({});
    } catch (error) {
      process.send({ error: `${error.code ?? ''} ${error.stack}` });
    }
  });
} else {
  await (mode === 'prepare' ? scenario.prepare(folder) : work());
}
