import type { SettingsObject, SettingsOf } from '../setting.ts';

/** Other result stores. */
export interface StoresSettings {
  /** Memcached URL. */
  readonly cacheBackend: string | null;
  /** Client options. */
  readonly cacheBackendOptions: SettingsObject;
  /** database, taskmeta_collection, groupmeta_collection, host, port, user, password, options, max_pool_size. */
  readonly mongodbBackendSettings: SettingsObject | null;
  /** Retry on timeout. */
  readonly elasticsearchRetryOnTimeout: boolean | null;
  /** Retries. */
  readonly elasticsearchMaxRetries: number | null;
  /** Request timeout (10). */
  readonly elasticsearchTimeout: number | null;
  /** Meta as text, not object. */
  readonly elasticsearchSaveMetaAsText: boolean;
  /** Hosts. */
  readonly cassandraServers: readonly string[] | null;
  /** Secure bundle (documented as cassandraSecureBundlePath). */
  readonly cassandraBundlePath: string | null;
  /** Port (9042). */
  readonly cassandraPort: number | null;
  /** Keyspace. */
  readonly cassandraKeyspace: string | null;
  /** Table. */
  readonly cassandraTable: string | null;
  /** Read consistency (LOCAL_QUORUM). */
  readonly cassandraReadConsistency: string | null;
  /** Write consistency (LOCAL_QUORUM). */
  readonly cassandraWriteConsistency: string | null;
  /** Row TTL. */
  readonly cassandraEntryTtl: number | null;
  /** Auth provider class name. */
  readonly cassandraAuthProvider: string | null;
  /** Its arguments. */
  readonly cassandraAuthKwargs: SettingsObject | null;
  /** Cluster options. */
  readonly cassandraOptions: SettingsObject;
  /** Access key. */
  readonly s3AccessKeyId: string | null;
  /** Secret. */
  readonly s3SecretAccessKey: string | null;
  /** Bucket. */
  readonly s3Bucket: string | null;
  /** Key prefix. */
  readonly s3BasePath: string | null;
  /** Endpoint. */
  readonly s3EndpointUrl: string | null;
  /** Region. */
  readonly s3Region: string | null;
  /** Container. */
  readonly azureblockblobContainerName: string;
  /** Blob prefix. */
  readonly azureblockblobBasePath: string;
  /** Connect timeout. */
  readonly azureblockblobConnectionTimeout: number;
  /** Read timeout. */
  readonly azureblockblobReadTimeout: number;
  /** Unused legacy. */
  readonly azureblockblobRetryInitialBackoffSec: number;
  /** Unused legacy. */
  readonly azureblockblobRetryIncrementBase: number;
  /** Unused legacy. */
  readonly azureblockblobRetryMaxAttempts: number;
  /** Bucket. */
  readonly gcsBucket: string | null;
  /** Project. */
  readonly gcsProject: string | null;
  /** Blob prefix. */
  readonly gcsBasePath: string;
  /** Blob lifetime; 0 = none. */
  readonly gcsTtl: number;
  /** Database. */
  readonly cosmosdbsqlDatabaseName: string;
  /** Collection. */
  readonly cosmosdbsqlCollectionName: string;
  /** Consistency. */
  readonly cosmosdbsqlConsistencyLevel: string;
  /** Attempts. */
  readonly cosmosdbsqlMaxRetryAttempts: number;
  /** Total retry wait. */
  readonly cosmosdbsqlMaxRetryWaitTime: number;
  /** host, port, bucket, username, password. */
  readonly couchbaseBackendSettings: SettingsObject | null;
  /** host, port, database, collection, username, password, http_protocol, verify. */
  readonly arangodbBackendSettings: SettingsObject | null;
  /** Secure connect bundle. */
  readonly cassandraSecureBundlePath: string | null;
  /** DynamoDB endpoint. */
  readonly dynamodbEndpointUrl: string | null;
  /** HTTP pool size. */
  readonly gcsThreadpoolMaxsize: number;
  /** Firestore project of chord counters; null = gcsProject. */
  readonly firestoreProject: string | null;
}

export const STORES_SETTINGS: SettingsOf<StoresSettings> = {
  cacheBackend: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'URL',
    meaning: 'Memcached URL',
    status: 'accepted',
  },
  cacheBackendOptions: { type: 'object', default: {}, meaning: 'Client options', status: 'accepted' },
  mongodbBackendSettings: {
    type: 'object',
    default: null,
    nullable: true,
    meaning: 'database, taskmeta_collection, groupmeta_collection, host, port, user, password, options, max_pool_size',
    status: 'accepted',
  },
  elasticsearchRetryOnTimeout: {
    type: 'bool',
    default: null,
    nullable: true,
    meaning: 'Retry on timeout',
    status: 'accepted',
  },
  elasticsearchMaxRetries: {
    type: 'count',
    default: null,
    nullable: true,
    unit: 'count',
    meaning: 'Retries',
    status: 'accepted',
  },
  elasticsearchTimeout: {
    type: 'seconds',
    default: null,
    nullable: true,
    unit: 's',
    meaning: 'Request timeout (10)',
    status: 'accepted',
  },
  elasticsearchSaveMetaAsText: { type: 'bool', default: true, meaning: 'Meta as text, not object', status: 'accepted' },
  cassandraServers: { type: 'list', default: null, nullable: true, meaning: 'Hosts', status: 'accepted' },
  cassandraBundlePath: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Secure bundle (documented as cassandraSecureBundlePath)',
    status: 'accepted',
  },
  cassandraPort: { type: 'int', default: null, nullable: true, meaning: 'Port (9042)', status: 'accepted' },
  cassandraKeyspace: { type: 'text', default: null, nullable: true, meaning: 'Keyspace', status: 'accepted' },
  cassandraTable: { type: 'text', default: null, nullable: true, meaning: 'Table', status: 'accepted' },
  cassandraReadConsistency: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'Read consistency (LOCAL_QUORUM)',
    status: 'accepted',
  },
  cassandraWriteConsistency: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'Write consistency (LOCAL_QUORUM)',
    status: 'accepted',
  },
  cassandraEntryTtl: {
    type: 'seconds',
    default: null,
    nullable: true,
    unit: 's',
    meaning: 'Row TTL',
    status: 'accepted',
  },
  cassandraAuthProvider: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'Auth provider class name',
    status: 'accepted',
  },
  cassandraAuthKwargs: {
    type: 'object',
    default: null,
    nullable: true,
    meaning: 'Its arguments',
    secret: true,
    status: 'accepted',
  },
  cassandraOptions: { type: 'object', default: {}, meaning: 'Cluster options', status: 'accepted' },
  s3AccessKeyId: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'Access key',
    secret: true,
    status: 'accepted',
  },
  s3SecretAccessKey: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'Secret',
    secret: true,
    status: 'accepted',
  },
  s3Bucket: { type: 'text', default: null, nullable: true, meaning: 'Bucket', status: 'accepted' },
  s3BasePath: { type: 'text', default: null, nullable: true, meaning: 'Key prefix', status: 'accepted' },
  s3EndpointUrl: { type: 'text', default: null, nullable: true, unit: 'URL', meaning: 'Endpoint', status: 'accepted' },
  s3Region: { type: 'text', default: null, nullable: true, meaning: 'Region', status: 'accepted' },
  azureblockblobContainerName: { type: 'text', default: 'celery', meaning: 'Container', status: 'accepted' },
  azureblockblobBasePath: { type: 'text', default: '', meaning: 'Blob prefix', status: 'accepted' },
  azureblockblobConnectionTimeout: {
    type: 'seconds',
    default: 20,
    unit: 's',
    meaning: 'Connect timeout',
    status: 'accepted',
  },
  azureblockblobReadTimeout: { type: 'seconds', default: 120, unit: 's', meaning: 'Read timeout', status: 'accepted' },
  azureblockblobRetryInitialBackoffSec: {
    type: 'seconds',
    default: 2,
    unit: 's',
    meaning: 'Unused legacy',
    status: 'accepted',
  },
  azureblockblobRetryIncrementBase: {
    type: 'seconds',
    default: 2,
    unit: 's',
    meaning: 'Unused legacy',
    status: 'accepted',
  },
  azureblockblobRetryMaxAttempts: {
    type: 'count',
    default: 3,
    unit: 'count',
    meaning: 'Unused legacy',
    status: 'accepted',
  },
  gcsBucket: { type: 'text', default: null, nullable: true, meaning: 'Bucket', status: 'accepted' },
  gcsProject: { type: 'text', default: null, nullable: true, meaning: 'Project', status: 'accepted' },
  gcsBasePath: { type: 'text', default: '', meaning: 'Blob prefix', status: 'accepted' },
  gcsTtl: { type: 'seconds', default: 0, unit: 's', meaning: 'Blob lifetime; 0 = none', status: 'accepted' },
  cosmosdbsqlDatabaseName: { type: 'text', default: 'celerydb', meaning: 'Database', status: 'accepted' },
  cosmosdbsqlCollectionName: { type: 'text', default: 'celerycol', meaning: 'Collection', status: 'accepted' },
  cosmosdbsqlConsistencyLevel: { type: 'text', default: 'Session', meaning: 'Consistency', status: 'accepted' },
  cosmosdbsqlMaxRetryAttempts: { type: 'count', default: 9, unit: 'count', meaning: 'Attempts', status: 'accepted' },
  cosmosdbsqlMaxRetryWaitTime: {
    type: 'seconds',
    default: 30,
    unit: 's',
    meaning: 'Total retry wait',
    status: 'accepted',
  },
  couchbaseBackendSettings: {
    type: 'object',
    default: null,
    nullable: true,
    meaning: 'host, port, bucket, username, password',
    status: 'accepted',
  },
  arangodbBackendSettings: {
    type: 'object',
    default: null,
    nullable: true,
    meaning: 'host, port, database, collection, username, password, http_protocol, verify',
    status: 'accepted',
  },
  cassandraSecureBundlePath: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Secure connect bundle',
    status: 'accepted',
  },
  dynamodbEndpointUrl: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'URL',
    meaning: 'DynamoDB endpoint',
    status: 'accepted',
  },
  gcsThreadpoolMaxsize: { type: 'count', default: 10, unit: 'count', meaning: 'HTTP pool size', status: 'accepted' },
  firestoreProject: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'Firestore project of chord counters; null = gcsProject',
    status: 'accepted',
  },
};
