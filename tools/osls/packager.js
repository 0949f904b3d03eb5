'use strict';

// The build step of serverless.yml: `clouddeploy package` writes the zip that is then deployed.
// custom.clouddeploy holds `command`, `model` (a folder with clouddeploy.toml) and `artifact`.

const { spawn } = require('node:child_process');
const fs = require('node:fs/promises');
const path = require('node:path');

const HOOKS = ['before:package:createDeploymentArtifacts', 'before:package:function:package'];

class Packager {
  constructor(serverless, options, { log, progress }) {
    this.serverless = serverless;
    this.log = log;
    this.progress = progress;
    this.hooks = Object.fromEntries(HOOKS.map((hook) => [hook, () => this.build()]));
  }

  async build() {
    const { command, model, artifact } = this.serverless.service.custom.clouddeploy;
    const out = path.resolve(this.serverless.serviceDir, artifact);
    const step = this.progress.create({ message: `Packaging ${model}`, name: 'clouddeploy' });
    await fs.mkdir(path.dirname(out), { recursive: true });
    try {
      const args = ['package', model, '--target', 'lambda', '--out', out];
      const { code, output } = await run(command, args, this.serverless.serviceDir);
      if (code !== 0) {
        throw new this.serverless.classes.Error(
          `${command} ${args.join(' ')} ended with code ${code}\n${output.trim()}`,
          'CLOUDDEPLOY_PACKAGE_FAILED'
        );
      }
      this.log.info(output.trim());
    } finally {
      step.remove();
    }
  }
}

// The program's exit code, with all that it wrote.
function run(command, args, cwd) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (piece) => (output += piece));
    child.stderr.on('data', (piece) => (output += piece));
    child.on('error', (error) => resolve({ code: error.code, output: error.message }));
    child.on('close', (code) => resolve({ code, output }));
  });
}

module.exports = Packager;
