/*
 * A thread in each child process, for what must work while a task blocks the child's event loop: to end with the parent,
 * and to say where the code is. The parent asks over a pipe, with a byte, and is answered with a line of JSON: the frames
 * of the stack, or null when nothing ran within a second.
 */

/** File descriptor of the pipe between a parent and its child's watcher. */
export const WATCHER_FD = 4;

/** CommonJS source of the thread; `workerData` is the parent's pid. */
export const WATCHER_CODE: string = `
const { workerData } = require('node:worker_threads');
const { Session } = require('node:inspector');
const { Socket } = require('node:net');
setInterval(() => { if (process.ppid !== workerData) process.kill(process.pid, 'SIGKILL'); }, 1000);

function sample(answer) {
  const session = new Session();
  session.connectToMainThread();
  const files = new Map();
  let over = false;
  const finish = (frames) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    session.post('Debugger.disable', () => session.disconnect());
    answer(frames);
  };
  const timer = setTimeout(() => finish(null), 1000);
  session.on('Debugger.scriptParsed', ({ params }) => files.set(params.scriptId, params.url));
  session.on('Debugger.paused', ({ params }) => {
    const frames = params.callFrames.slice(0, 50).map(({ functionName, location, url }) => {
      const at = (url || files.get(location.scriptId)) + ':' + (location.lineNumber + 1) + ':' + (location.columnNumber + 1);
      return functionName ? functionName + ' (' + at + ')' : at;
    });
    session.post('Debugger.resume');
    finish(frames);
  });
  session.post('Debugger.enable', () => session.post('Debugger.pause'));
}

const socket = new Socket({ fd: ${WATCHER_FD}, readable: true, writable: true });
socket.on('error', () => {});
socket.on('data', () => sample((frames) => socket.write(JSON.stringify(frames) + '\\n')));
`;
