import { Argument, type Command } from 'commander';
import { AMQP_COMMANDS } from './amqp-commands.ts';
import { CONTROL_COMMANDS } from './control.ts';
import { INSPECT_COMMANDS } from './inspect.ts';
import type { Session } from './session.ts';

/*
 * The shells' scripts only ask: `celeriac __complete <words…>` prints what the last word may become, one a line.
 * So commands of plug-ins are completed too, and the scripts never grow old.
 */

const BASH = `# celeriac completion bash >> ~/.bashrc
_celeriac() {
  local words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  local IFS=$'\\n'
  COMPREPLY=($(celeriac __complete "\${words[@]}" 2>/dev/null))
}
complete -o default -F _celeriac celeriac`;

const ZSH = `#compdef celeriac
# celeriac completion zsh > "\${fpath[1]}/_celeriac"
_celeriac() {
  local -a found
  found=("\${(@f)$(celeriac __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if (( \${#found} )) && [[ -n "\${found[1]}" ]]; then compadd -a found; else _files; fi
}
if [ "$funcstack[1]" = "_celeriac" ]; then _celeriac "$@"; else compdef _celeriac celeriac; fi`;

const FISH = `# celeriac completion fish > ~/.config/fish/completions/celeriac.fish
function __celeriac_complete
  set -l words (commandline -opc) (commandline -ct)
  celeriac __complete $words[2..-1] 2>/dev/null
end
complete -c celeriac -a '(__celeriac_complete)'`;

const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };

/** Words that commands take as their first argument. */
const FIRST_WORDS: Readonly<Record<string, readonly string[]>> = {
  inspect: INSPECT_COMMANDS,
  control: CONTROL_COMMANDS,
  amqp: AMQP_COMMANDS,
};

/** `celeriac completion SHELL`: the script that makes a shell complete commands and options. */
export function addCompletion(program: Command, session: Session): void {
  program
    .command('completion')
    .description('print the script that makes a shell complete celeriac')
    .addArgument(new Argument('<shell>').choices(Object.keys(SCRIPTS)))
    .action((shell: string) => session.print(SCRIPTS[shell] as string));
}

/** What the last of these words may become; the words are what stands after `celeriac`. */
export function candidates(program: Command, words: readonly string[]): string[] {
  const last = words.at(-1) ?? '';
  let command = program;
  let awaiting = false;
  let arguments_ = 0;
  for (const word of words.slice(0, -1)) {
    if (awaiting) awaiting = false;
    else if (word.startsWith('-')) awaiting = takesValue(command, word);
    else {
      const next = command.commands.find((one) => one.name() === word);
      if (next) command = next;
      else arguments_++;
    }
  }
  // The value of an option: files and the like are the shell's business.
  if (awaiting) return [];
  if (last.startsWith('-')) {
    const flags = command.options.filter(({ hidden }) => !hidden).flatMap(({ long }) => long ?? []);
    return [...flags, '--help'].filter((flag) => flag.startsWith(last));
  }
  const names = command.commands.map((one) => one.name());
  const choices = command.registeredArguments[arguments_]?.argChoices ?? [];
  const first = arguments_ === 0 ? (FIRST_WORDS[command.name()] ?? []) : [];
  return [...names, ...choices, ...first].filter((name) => name.startsWith(last)).sort();
}

function takesValue(command: Command, word: string): boolean {
  if (word.includes('=')) return false;
  const option = command.options.find(({ short, long }) => short === word || long === word);
  return option?.required ?? false;
}
