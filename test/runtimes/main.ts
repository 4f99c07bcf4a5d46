/** Entry for the runtimes with a command line: the bundles' names are the arguments, the report is the last line. */
import process from 'node:process';
import { runTests } from './harness.ts';

console.log(`\n${JSON.stringify(await runTests(process.argv.slice(2)))}`);
