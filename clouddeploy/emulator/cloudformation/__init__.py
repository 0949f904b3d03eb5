"""CloudFormation of the embedded cloud: templates, stacks, change sets, exports.

An engine of our own instead of moto's, which adds before it modifies, forgets outputs on an update, never
rolls back and leaves out what it doesn't know. A stack's resources are made by calls to the embedded
cloud's own APIs (`kinds`), so that whatever those refuse fails the stack, as on AWS; types without an
entry there are moto's own.
"""
