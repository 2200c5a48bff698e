/** The map of the design as rules: each says why it is there. */
/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment:
        'Two files that need each other are one concept, or the arrow of one of them points the wrong way.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'platform-knows-no-messages',
      comment:
        'The platform is what any service needs; once it knows a message, nothing can be reused or read by itself.',
      severity: 'error',
      from: { path: '^src/platform/' },
      to: { path: '^src/(groups|schedule|consent|delivery|feedback|engines|app)' },
    },
    {
      name: 'groups-know-no-messages',
      comment:
        'Who receives does not depend on what is sent; a change of scheduling must not touch subscribers.',
      severity: 'error',
      from: { path: '^src/groups/' },
      to: { path: '^src/(schedule|consent|delivery|feedback|engines|app)' },
    },
    {
      name: 'schedule-knows-no-delivery',
      comment:
        'What and when is decided without knowing how it goes out, so that a channel can change by itself.',
      severity: 'error',
      from: { path: '^src/schedule/' },
      to: { path: '^src/(consent|delivery|feedback|engines|app)' },
    },
    {
      name: 'consent-knows-no-delivery',
      comment:
        'Whether somebody may be written to is decided without knowing how mail goes out; delivery asks for links, and is asked for nothing.',
      severity: 'error',
      from: { path: '^src/consent/' },
      to: { path: '^src/(delivery|feedback|engines|app)' },
    },
    {
      name: 'delivery-knows-no-feedback',
      comment: 'What becomes of a mail later changes nothing about how it is sent; the ledger takes both.',
      severity: 'error',
      from: { path: '^src/delivery/' },
      to: { path: '^src/feedback/' },
    },
    {
      name: 'features-know-no-engine',
      comment:
        'A feature owns the contract of its store; an engine implements it. Imported directly, one engine would become the only one.',
      severity: 'error',
      from: { path: '^src/(delivery|feedback)/' },
      to: { path: '^src/(engines|app)' },
    },
    {
      name: 'engines-implement-only',
      comment: 'An engine may know every contract; nothing but the application may know that it exists.',
      severity: 'error',
      from: { path: '^src/engines/' },
      to: { path: '^src/(app|main)' },
    },
    {
      name: 'sqlite-stays-in-its-engine',
      comment: 'Only a store knows keys and columns.',
      severity: 'error',
      from: { pathNot: '^src/engines/sqlite/' },
      to: { path: '^(node:)?sqlite$' },
    },
    {
      name: 'aws-stays-where-it-is-chosen',
      comment:
        'The engine aws and the channel ses are loaded when they are chosen; imported anywhere else, the AWS SDK would be read by everybody.',
      severity: 'error',
      from: { pathNot: '^src/(engines/aws/|delivery/channels/ses\\.channel\\.ts$)' },
      to: { path: '^node_modules/(@aws-sdk|@smithy)/' },
    },
    {
      name: 'ses-is-loaded-when-chosen',
      comment: 'As the rule before: a static import of the channel would load the AWS SDK with it.',
      severity: 'error',
      from: {},
      to: { path: '^src/delivery/channels/ses\\.channel\\.ts$', dynamic: false },
    },
    {
      name: 'source-knows-no-tests',
      comment: 'What is shipped must not need what is not.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|demo|infra)/' },
    },
    {
      name: 'infra-reads-definitions',
      comment:
        'What is deployed is described without running the application: of its source, only what says what there is to be (and types).',
      severity: 'error',
      from: { path: '^infra/' },
      to: {
        path: '^src/',
        pathNot: '^src/(engines/aws/(tables|queue-definitions)|delivery/(delivery|feedback))\\.ts$',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'no-undeclared-dependency',
      comment: 'What is imported must be installed for production, or the image lacks it.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { conditionNames: ['import', 'node', 'default'], extensions: ['.ts', '.js'] },
  },
};
