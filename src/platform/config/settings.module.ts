import { Global, Module } from '@nestjs/common';
import { ConfigModule, registerAs } from '@nestjs/config';
import { parseSettings, Settings } from './settings.ts';

// ConfigModule has read .env into process.env by the time this runs; what was set before wins.
const settings = registerAs('settings', () => parseSettings(process.env));

@Global()
@Module({
  imports: [ConfigModule.forRoot({ load: [settings] })],
  providers: [
    { provide: Settings, useFactory: (loaded: Settings): Settings => loaded, inject: [settings.KEY] },
  ],
  exports: [Settings],
})
export class SettingsModule {}
