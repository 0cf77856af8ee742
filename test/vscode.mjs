// What VS Code itself makes of a tasks.json: its own code is asked, as a package
// ships it (test/deps.sh installs that). Standard input is an object, standard
// output another one:
//
//   {"text"}                  the file; "file" is how VS Code reads it, "errors"
//                             what it finds wrong, "schema" its published schema
//   {"text", "label", "lines"} and "events" is what the problem matcher of that
//                             task says to the lines of a terminal
import { createRequire, register } from 'node:module'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

// Style sheets are imported by some modules, and mean nothing here.
register('data:text/javascript,' + encodeURIComponent(`
  export const load = (url, context, next) =>
    url.endsWith('.css') ? { format: 'module', source: '', shortCircuit: true } : next(url, context)`))

const resolve = createRequire(process.argv[2] + '/here.js').resolve
const load = (pkg, module) => import(pathToFileURL(resolve(`@codingame/monaco-vscode-${pkg}/vscode/vs/${module}`)))
const tasks = 'workbench/contrib/tasks/common/'

const { text, label, lines } = JSON.parse(readFileSync(0, 'utf8'))
const { parse } = await load('api', 'base/common/json')
const errors = []
const file = parse(text.replace(/^\ufeff/, ''), errors, { allowTrailingComma: true })
const answer = { file, errors }
if (lines) answer.events = await match(file.tasks.find(t => t.label === label).problemMatcher, lines)
else answer.schema = (await load('task-service-override', tasks + 'jsonSchema_v2')).default
console.log(JSON.stringify(answer))

// match is the story of a background task: its start, and each line in turn.
async function match(description, lines) {
  const { ProblemMatcherParser } = await load('api', tasks + 'problemMatcher')
  const { WatchingProblemCollector } = await load('task-service-override', tasks + 'problemCollectors')
  const events = []
  const say = kind => text => { events.push({ kind, text: String(text) }) }
  const matcher = new ProblemMatcherParser({
    info: say('info'), warn: say('warn'), error: say('error'), fatal: say('fatal'),
    status: { isOK: () => true, isFatal: () => false, state: 0 },
  }).parse(description)
  const nothing = () => ({ dispose() {} })
  const markers = {
    read: () => [], remove() {}, onMarkerChanged: nothing,
    changeOne: (owner, uri, all) => all.forEach(m => events.push({ kind: 'problem', text: m.message, severity: m.severity, file: uri.path })),
  }
  const models = { onModelAdded: nothing, onModelRemoved: nothing, getModels: () => [] }
  const collector = new WatchingProblemCollector([matcher], markers, models)
  if (!collector.isWatching()) say('fatal')('no background pattern')
  let line = ''
  collector.onDidStateChange(e => events.push({ kind: e.kind, text: line }))
  collector.aboutToStart()
  for (line of lines) {
    collector.processLine(line)
    await new Promise(setImmediate)
  }
  collector.forceDelivery()
  return events
}
