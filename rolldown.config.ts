import { isBuiltin } from 'node:module';
import type { Plugin, RolldownOptions } from 'rolldown';

/*
 * Most of a start is finding, reading and compiling modules: of a few files it takes half the time that it takes of 2,400. Everything is in
 * them but what reads files beside itself, and what Nest looks for and does without.
 */

const FILES_BESIDE_ITSELF = /^swagger-ui-dist(\/|$)/;
const NOT_INSTALLED =
  /^(@nestjs\/(microservices|websockets|platform-express)|@fastify\/(view|multipart))(\/|$)/;

const BUILTIN = '\0builtin:';
// Rolldown itself imports it, for `require`.
const MODULE = /^(node:)?module$/;

/** `import … from 'node:http'` looks at each of its exports, one of which loads undici: 60 ms and 8 MB for what nobody asks for here. */
const lazyBuiltins: Plugin = {
  name: 'lazy-builtins',
  resolveId: {
    order: 'pre',
    handler: (id) =>
      isBuiltin(id) && !MODULE.test(id)
        ? { id: `${BUILTIN}${id.startsWith('node:') ? id : `node:${id}`}`, moduleSideEffects: false }
        : undefined,
  },
  load: {
    filter: { id: new RegExp(`^${BUILTIN}`) },
    handler: (id) => ({
      code: `module.exports = process.getBuiltinModule('${id.slice(BUILTIN.length)}');`,
      moduleType: 'js',
    }),
  },
};

const REQUIRE = /^const require = createRequire\(import\.meta\.url\);$/m;

/** Nest requires class-validator so where it may be missing: that would load it, and its metadata, a second time. */
const plainRequire: Plugin = {
  name: 'plain-require',
  transform: {
    filter: { id: /[/\\]node_modules[/\\]@nestjs[/\\]/, code: REQUIRE },
    handler: (code) => ({ code: code.replace(REQUIRE, ''), map: null }),
  },
};

/** With --enable-source-maps Node reads a map when it loads its file; those of packages would be five times the rest. */
const ownMapsOnly: Plugin = {
  name: 'own-maps-only',
  transform: {
    filter: { id: /[/\\]node_modules[/\\]/ },
    handler: (code) => ({ code, map: { version: 3, mappings: '', sources: [], names: [] } }),
  },
};

export default {
  input: {
    main: 'src/main.ts',
    simulate: 'src/simulate.ts',
    'engines/aws/create': 'src/engines/aws/create.ts',
  },
  platform: 'node',
  tsconfig: 'tsconfig.json',
  external: [FILES_BESIDE_ITSELF, NOT_INSTALLED],
  // As Node does: what one package requires and another imports is then one module, with one state.
  resolve: { mainFields: ['main'] },
  plugins: [lazyBuiltins, plainRequire, ownMapsOnly],
  output: {
    dir: 'dist',
    format: 'esm',
    chunkFileNames: 'chunks/[name].js',
    keepNames: true, // of classes: they are in logs and in the OpenAPI document
    strictExecutionOrder: true, // or decorators may run before reflect-metadata
    sourcemap: true,
    sourcemapExcludeSources: true,
  },
} satisfies RolldownOptions;
