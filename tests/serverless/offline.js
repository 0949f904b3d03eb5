'use strict';

// Loaded into node before osls: writes down every host that it connects to, and cuts what isn't loopback.
// OSLS_CONNECTIONS names the file.

const fs = require('node:fs');
const net = require('node:net');

const connect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function (...args) {
  const [options] = Array.isArray(args[0]) ? args[0] : args;
  const host = typeof options === 'object' ? options.host || options.path || 'localhost' : args[1];
  fs.appendFileSync(process.env.OSLS_CONNECTIONS, `${host}\n`);
  if (!['127.0.0.1', '::1', 'localhost'].includes(host)) throw new Error(`a connection to ${host}`);
  return connect.apply(this, args);
};
