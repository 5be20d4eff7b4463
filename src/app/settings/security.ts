import type { SettingsOf } from '../setting.ts';

/** Security. */
export interface SecuritySettings {
  /** Private key file (PEM). */
  readonly securityKey: string | null;
  /** Its password. */
  readonly securityKeyPassword: unknown;
  /** Certificate file (PEM). */
  readonly securityCertificate: string | null;
  /** Trusted certificates glob/directory. */
  readonly securityCertStore: string | null;
  /** Digest for signatures. */
  readonly securityDigest: string;
}

export const SECURITY_SETTINGS: SettingsOf<SecuritySettings> = {
  securityKey: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Private key file (PEM)',
    status: 'accepted',
  },
  securityKeyPassword: { type: 'any', default: null, meaning: 'Its password', secret: true, status: 'accepted' },
  securityCertificate: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Certificate file (PEM)',
    status: 'accepted',
  },
  securityCertStore: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Trusted certificates glob/directory',
    status: 'accepted',
  },
  securityDigest: { type: 'text', default: 'sha256', meaning: 'Digest for signatures', status: 'accepted' },
};
