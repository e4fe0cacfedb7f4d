/** What most test files share: one daemon and one probe guest, made before and ended after. */
import { after, before } from 'node:test';
import { Daemon, lacksImage } from './daemon.mjs';
import { Probe } from './probe.mjs';

/**
 * Fields are filled before the first test runs. prepare runs after that, with the farm.
 * @param {{daemon?: object, sandbox?: object, withProbe?: boolean, prepare?: Function}} options
 */
export function useFarm({ daemon = {}, sandbox = {}, withProbe = true, prepare = async () => {} } = {}) {
    const farm = { skip: lacksImage('probe') };
    before(async () => {
        if (farm.skip)
            return;
        farm.daemon = await Daemon.start(daemon);
        farm.client = farm.daemon.client();
        try {
            if (withProbe)
                farm.probe = await Probe.create(farm.daemon, farm.client, sandbox);
            farm.id = farm.probe?.id;
            await prepare(farm);
        } catch (error) {
            error.message += `\n${farm.daemon.lastLog()}`;
            throw error;
        }
    }, { timeout: 180000 });
    after(async () => {
        farm.probe?.close();
        await farm.daemon?.destroy();
    }, { timeout: 60000 });
    return farm;
}
