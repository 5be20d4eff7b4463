import { poolContractApp } from '../../src/testing/pool-contract.ts';

export const app = poolContractApp();
